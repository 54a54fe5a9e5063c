/* The library itself: its version, and its memory. */
#include "failure.h"

#include <cstdlib>

int flatdb_version(void) { return 1; }

void flatdb_free(void *data) { std::free(data); }
