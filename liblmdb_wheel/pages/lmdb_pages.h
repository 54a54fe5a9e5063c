/* Checksums and encryption of pages for LMDB 1.0: functions for mdb_env_set_checksum and mdb_env_set_encrypt.
 *
 * They keep no state, allocate nothing (but for MDB_crypto, at the end), and can be called by any number of threads.
 * The cryptography is Monocypher's: BLAKE2b, XChaCha20, Argon2id. Keys and what is derived from them are wiped from the
 * stack.
 *
 * Integers are stored little endian, whatever the machine; LMDB's own files are not portable that way.
 */
#ifndef LMDB_PAGES_H
#define LMDB_PAGES_H

#include <stddef.h>
#include <stdint.h>

#include "lmdb.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- checksums: MDB_sum_func -------------------------------------------------------------------------------------
 *
 * LMDB verifies them only where the environment is opened with MDB_REMAP_CHUNKS (encryption implies it), and writes
 * none where it is opened with MDB_WRITEMAP. Neither the two meta pages nor the place of a page are covered. LMDB has
 * room for 256 bytes, and does not check that.
 */
#define LMDB_PAGES_CRC32C_SIZE 4u
#define LMDB_PAGES_BLAKE2B_SIZE 32u /* or 16 */

/* CRC-32C (Castagnoli): finds accidents, not attackers. */
void lmdb_pages_crc32c(const MDB_val *src, MDB_val *dst, const MDB_val *key);

/* BLAKE2b of dst->mv_size bytes, at most 64. In an encrypted environment it is keyed by a key derived from LMDB's; but
 * lmdb_pages_encrypt authenticates each page already. Without a key, whoever can write the file can write the sum. */
void lmdb_pages_blake2b(const MDB_val *src, MDB_val *dst, const MDB_val *key);

/* --- encryption: MDB_enc_func ------------------------------------------------------------------------------------
 *
 * LMDB's initialization vector is (page number, transaction id), and one pair can stand for many contents: a page is
 * spilled, changed and written again; the id of an aborted transaction is given to the next one; a restored copy goes
 * on from the same id; and every page of every compacted copy has id 1. A stream cipher with that nonce would give
 * the exclusive-or of two contents away. So the nonce is synthetic (SIV, RFC 5297, with other primitives):
 *
 *     tag  = BLAKE2b(mac key; label, size of iv, iv, size of page, page), 24 bytes, stored as authentication data
 *     page = header || body; the header is the 8 bytes that follow page number and transaction id
 *     body ^ XChaCha20(cipher key, nonce = tag)
 *     header: Feistel network of four rounds with HChaCha20, its key derived from header key and iv
 *
 * Equal contents with an equal iv give equal pages; nothing else shows. The header has a cipher of its own since
 * mdb_env_incr_loadfd decrypts it alone, before it has the tag. Keys: keyed BLAKE2b of a label each.
 *
 * What this does not hide: page numbers, transaction ids, the two meta pages (sizes, counts, roots, in plain and not
 * authenticated), which pages change when. What it does not prevent: putting an older state of a page, or of the
 * file, in place of the newer one; and, as LMDB does not compare a page's number with the page asked for, one page in
 * place of another. LMDB itself leaves decrypted pages, and its copy of the key, in memory that it frees.
 *
 * LMDB 1.0.2 keeps decrypted pages for as long as some transaction of the process uses their neighbourhood, and does
 * not notice when such a page has been given new contents: with transactions that overlap without a gap, or one that
 * spills, it reads old pages, whatever function encrypts. The liblmdb of this wheel is mended (vendor/lock.toml).
 */
#define LMDB_PAGES_KEY_SIZE 32u
#define LMDB_PAGES_TAG_SIZE 24u /* the last argument of mdb_env_set_encrypt */

/* Encrypt a page (encdec 1) or decrypt it (0), of 8 bytes or more, an overflow page of any size being one page. dst may
 * be src; else they do not overlap. Where the tag is wrong, dst is left as it was: decrypted pages are shared by all
 * transactions of an environment, and another thread may be reading this one.
 *
 * Returns 0; MDB_CRYPTO_FAIL, the tag is wrong (another key, or an altered page); EINVAL, a size is wrong. LMDB makes
 * MDB_CRYPTO_FAIL of both. With a tag of size 0 exactly 8 bytes are decrypted, as the header and unverified. */
int lmdb_pages_encrypt(const MDB_val *src, MDB_val *dst, const MDB_val *key, int encdec);

/* --- keys --------------------------------------------------------------------------------------------------------*/

/* Derive a key from a pass phrase by Argon2id (version 1.3, one lane). The salt is not secret; draw it at random for
 * each environment and keep it, with `memory` and `passes`, beside the environment: without them the key is lost.
 *
 *     key        LMDB_PAGES_KEY_SIZE bytes
 *     salt_size  8 bytes or more; 16 is usual
 *     memory     KiB, from 8 up to 2^25 - 1; 65536 with 3 passes is RFC 9106's choice where memory is dear
 *     work       memory * 1024 bytes, aligned as for uint64_t; wiped before the return
 *
 * Returns 0, or EINVAL: an argument is out of its range; then neither key nor work is touched. */
int lmdb_pages_key_from_passphrase(unsigned char *key, const void *passphrase, size_t passphrase_size, const void *salt,
                                   size_t salt_size, uint32_t memory, uint32_t passes, void *work, size_t work_size);

/* What upstream's command line tools load: `mdb_stat -m .../liblmdb_pages.so.0 -w WORD path`. Encryption, no checksum.
 *
 * A WORD of exactly 64 hexadecimal digits is the key itself: the way to open with the tools what was made with
 * lmdb_pages_key_from_passphrase. Any other WORD is a pass phrase, and as LMDB hands over no salt, its salt is the
 * constant below, for everyone: equal phrases give equal keys in all environments, and an attacker can prepare a
 * dictionary once for all of them. Each guess still costs what Argon2id costs. Do not choose that for new data.
 *
 * The derivation allocates its work area; where it cannot, the environment gets a key of no size, with which every page
 * fails (LMDB ignores the hook's result, and would go on with what is on the stack). */
#define LMDB_PAGES_TOOLS_SALT "lmdb_pages tools" /* 16 bytes, without the NUL */
#define LMDB_PAGES_TOOLS_MEMORY 65536u
#define LMDB_PAGES_TOOLS_PASSES 3u
MDB_crypto_funcs *MDB_crypto(void);

/* The version of this interface: it grows when functions are added; the SONAME, when they change. */
int lmdb_pages_version(void);

#ifdef __cplusplus
}
#endif

#endif
