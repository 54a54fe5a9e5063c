/* The C API of liblmdb_pages, for CFFI; its types come from lmdb.cdef.h. The tests compile these declarations against
 * lmdb_pages.h. */

void lmdb_pages_crc32c(const MDB_val *src, MDB_val *dst, const MDB_val *key);
void lmdb_pages_blake2b(const MDB_val *src, MDB_val *dst, const MDB_val *key);
int lmdb_pages_encrypt(const MDB_val *src, MDB_val *dst, const MDB_val *key, int encdec);
int lmdb_pages_key_from_passphrase(unsigned char *key, const void *passphrase, size_t passphrase_size,
                                   const void *salt, size_t salt_size, uint32_t memory, uint32_t passes, void *work,
                                   size_t work_size);
int lmdb_pages_version(void);
