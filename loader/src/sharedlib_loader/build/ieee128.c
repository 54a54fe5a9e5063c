/* What zig's runtime of C++ calls on POWER, and glibc has since 2.32 only: printf and its like for a long double in IEEE's
 * format. Here it is that of the older glibc's own functions: the same for all that is no long double. One that is read
 * has the precision of a double, one that is written (%Lf) is not right: a library with such needs a newer glibc.
 *
 * No header is included, since those would give the older functions' names to these.
 */
typedef __builtin_va_list arguments;

int vfprintf(void *file, const char *format, arguments values);
int vsnprintf(char *text, unsigned long size, const char *format, arguments values);
int vasprintf(char **text, const char *format, arguments values);
int vsscanf(const char *text, const char *format, arguments values);
double strtod_l(const char *text, char **end, void *locale);

int __vfprintfieee128(void *file, const char *format, arguments values) { return vfprintf(file, format, values); }

int __vsnprintfieee128(char *text, unsigned long size, const char *format, arguments values) {
    return vsnprintf(text, size, format, values);
}

int __vasprintfieee128(char **text, const char *format, arguments values) { return vasprintf(text, format, values); }

long double __strtoieee128_l(const char *text, char **end, void *locale) { return strtod_l(text, end, locale); }

#define FORWARD(call) \
    arguments values; \
    __builtin_va_start(values, format); \
    int done = call; \
    __builtin_va_end(values); \
    return done;

int __fprintfieee128(void *file, const char *format, ...) { FORWARD(vfprintf(file, format, values)) }

int __snprintfieee128(char *text, unsigned long size, const char *format, ...) {
    FORWARD(vsnprintf(text, size, format, values))
}

int __isoc99_sscanfieee128(const char *text, const char *format, ...) { FORWARD(vsscanf(text, format, values)) }
