/* For upstream's mdb_drop.c, which came with LMDB 1.0, when it is compiled for LMDB 0.9: all that it needs and 0.9 has
 * not is the loading of modules for encrypted environments, its option -m. Included before it: its own #include "lmdb.h"
 * then finds the guard of this one set, where the compiler's -I leads to 0.9's. */
#include <lmdb.h>

typedef struct MDB_crypto_funcs MDB_crypto_funcs;

static void *mdb_modload(const char *file, const char *name, MDB_crypto_funcs **functions, char **message)
{
	(void)file, (void)name, (void)functions;
	*message = "LMDB 0.9 has no modules";
	return 0;
}

static void mdb_modsetup(MDB_env *env, MDB_crypto_funcs *functions, const char *password)
{
	(void)env, (void)functions, (void)password;
}

static void mdb_modunload(void *module)
{
	(void)module;
}
