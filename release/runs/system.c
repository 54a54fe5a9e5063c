/* What the system that runs this is, in two lines: its C library, and whether it has robust mutexes between processes
 * (pthread_mutexattr_setrobust(3)), of which LMDB's locks are made. Emulators of single programs may not have them: then
 * the second line is the function that refuses, with its words, and the exit status 1.
 */
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
