/* What the system that runs this is, in two lines: its C library, and whether it has what LMDB needs of a system and
 * emulators may lack. If not, the second line is the function that refuses, with its words, and the exit status 1.
 *
 * Of Linux these are robust mutexes between processes, of which LMDB's locks are made (pthread_mutexattr_setrobust(3)); of
 * Windows a view of a file that is larger than the file, which grows by it: so LMDB 1.0 maps its data (MEM_RESERVE, see
 * ZwMapViewOfSection).
 */
#ifdef _WIN32

#include <stdio.h>
#include <windows.h>
#include <winternl.h>

#define SIZE (1 << 20)

NTSTATUS NTAPI NtCreateSection(PHANDLE, ACCESS_MASK, POBJECT_ATTRIBUTES, PLARGE_INTEGER, ULONG, ULONG, HANDLE);
NTSTATUS NTAPI NtMapViewOfSection(HANDLE, HANDLE, PVOID *, ULONG_PTR, SIZE_T, PLARGE_INTEGER, PSIZE_T, DWORD, ULONG,
                                  ULONG);

int main(void)
{
    char folder[MAX_PATH], path[MAX_PATH];
    HANDLE file, section;
    SIZE_T size = SIZE;
    DWORD written;
    void *map = NULL;
    NTSTATUS status;

    puts("Windows");
    GetTempPathA(MAX_PATH, folder);
    GetTempFileNameA(folder, "map", 0, path);
    file = CreateFileA(path, GENERIC_READ | GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, FILE_FLAG_DELETE_ON_CLOSE, NULL);
    if (file == INVALID_HANDLE_VALUE || !WriteFile(file, "data", 4, &written, NULL))
        return 2;
    status = NtCreateSection(&section, SECTION_MAP_READ, NULL, NULL, PAGE_READWRITE, SEC_RESERVE, file);
    if (status == 0)
        status = NtMapViewOfSection(section, GetCurrentProcess(), &map, 0, 0, NULL, &size, 2, MEM_RESERVE, PAGE_READONLY);
    if (status == 0) {
        puts("views larger than their file");
        return 0;
    }
    /* The text of the error in Windows' words, and in those of C for the same number. */
    if (RtlNtStatusToDosError(status) == ERROR_ACCESS_DENIED)
        puts("NtMapViewOfSection: Access denied or Input/output error (5)");
    else
        printf("NtMapViewOfSection: status 0x%lx (%lu)\n", (unsigned long)status, RtlNtStatusToDosError(status));
    return 1;
}

#else

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

static int ask(const char *what, int rc)
{
    if (rc != 0)
        printf("%s: %s (%d)\n", what, strerror(rc), rc);
    return rc;
}

int main(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutex_t mutex;

#ifdef __GLIBC__
    printf("glibc %s\n", gnu_get_libc_version());
#else
    puts("musl");
#endif
    if (ask("pthread_mutexattr_init", pthread_mutexattr_init(&attributes)) ||
        ask("pthread_mutexattr_setpshared", pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED)) ||
        ask("pthread_mutexattr_setrobust", pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST)) ||
        ask("pthread_mutex_init", pthread_mutex_init(&mutex, &attributes)) ||
        ask("pthread_mutex_lock", pthread_mutex_lock(&mutex)))
        return 1;
    puts("robust mutexes");
    return 0;
}

#endif
