/* See lmdb_pages.h for what is computed, and why so. */

#include "lmdb_pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "monocypher.h"

typedef unsigned char byte;

/* Labels keep apart what is computed with one key. Their NUL belongs to them: no label begins another. */
static const char LABEL_SECRETS[] = "lmdb_pages 1 cipher and mac";
static const char LABEL_HEADER[] = "lmdb_pages 1 header";
static const char LABEL_CHECKSUM[] = "lmdb_pages 1 checksum";
static const char LABEL_PAGE[] = "lmdb_pages 1 page";

enum {
    HEADER = 8,      /* what is left of LMDB's page header behind the iv, on every platform */
    MAX_IV = 16,     /* page number and transaction id; 8 where they have 32 bits */
    SCRATCH = 16384, /* pages up to this size are decrypted once, larger ones twice */
};

/* crypto_wipe stores byte by byte, which for a page takes as long as its cipher. */
static void *(*const volatile fill)(void *, int, size_t) = memset;

static void wipe(void *secret, size_t size) { fill(secret, 0, size); }

/* --- CRC-32C ------------------------------------------------------------------------------------------------------ */

/* Slicing by 8: table k holds the remainders of a byte followed by k zero bytes. Remainders are linear, so that eight
 * of them, those of single bits, give all 256. */
#define PICK(i, bit, r) (((i) >> (bit) & 1u) * (r))
#define ENTRY(i, a, b, c, d, e, f, g, h) \
    (PICK(i, 0, a) ^ PICK(i, 1, b) ^ PICK(i, 2, c) ^ PICK(i, 3, d) ^ PICK(i, 4, e) ^ PICK(i, 5, f) ^ PICK(i, 6, g) ^ \
     PICK(i, 7, h))
#define E4(i, ...) \
    ENTRY((i), __VA_ARGS__), ENTRY((i) + 1u, __VA_ARGS__), ENTRY((i) + 2u, __VA_ARGS__), ENTRY((i) + 3u, __VA_ARGS__)
#define E16(i, ...) \
    E4(i, __VA_ARGS__), E4((i) + 4u, __VA_ARGS__), E4((i) + 8u, __VA_ARGS__), E4((i) + 12u, __VA_ARGS__)
#define E64(i, ...) \
    E16(i, __VA_ARGS__), E16((i) + 16u, __VA_ARGS__), E16((i) + 32u, __VA_ARGS__), E16((i) + 48u, __VA_ARGS__)
#define TABLE(...) \
    { E64(0u, __VA_ARGS__), E64(64u, __VA_ARGS__), E64(128u, __VA_ARGS__), E64(192u, __VA_ARGS__) }

static const uint32_t CRC[8][256] = {
    TABLE(0xf26b8303u, 0xe13b70f7u, 0xc79a971fu, 0x8ad958cfu, 0x105ec76fu, 0x20bd8edeu, 0x417b1dbcu, 0x82f63b78u),
    TABLE(0x13a29877u, 0x274530eeu, 0x4e8a61dcu, 0x9d14c3b8u, 0x3fc5f181u, 0x7f8be302u, 0xff17c604u, 0xfbc3faf9u),
    TABLE(0xa541927eu, 0x4f6f520du, 0x9edea41au, 0x38513ec5u, 0x70a27d8au, 0xe144fb14u, 0xc76580d9u, 0x8b277743u),
    TABLE(0xdd45aab8u, 0xbf672381u, 0x7b2231f3u, 0xf64463e6u, 0xe964b13du, 0xd725148bu, 0xaba65fe7u, 0x52a0c93fu),
    TABLE(0x38116facu, 0x7022df58u, 0xe045beb0u, 0xc5670b91u, 0x8f2261d3u, 0x1ba8b557u, 0x37516aaeu, 0x6ea2d55cu),
    TABLE(0xef306b19u, 0xdb8ca0c3u, 0xb2f53777u, 0x6006181fu, 0xc00c303eu, 0x85f4168du, 0x0e045bebu, 0x1c08b7d6u),
    TABLE(0x68032cc8u, 0xd0065990u, 0xa5e0c5d1u, 0x4e2dfd53u, 0x9c5bfaa6u, 0x3d5b83bdu, 0x7ab7077au, 0xf56e0ef4u),
    TABLE(0x493c7d27u, 0x9278fa4eu, 0x211d826du, 0x423b04dau, 0x847609b4u, 0x0d006599u, 0x1a00cb32u, 0x34019664u),
};

static uint32_t crc32c(const byte *p, size_t size)
{
    uint32_t c = 0xffffffffu;
    for (; size >= 8; p += 8, size -= 8)
        c = CRC[7][p[0] ^ (c & 255)] ^ CRC[6][p[1] ^ (c >> 8 & 255)] ^ CRC[5][p[2] ^ (c >> 16 & 255)] ^
            CRC[4][p[3] ^ c >> 24] ^ CRC[3][p[4]] ^ CRC[2][p[5]] ^ CRC[1][p[6]] ^ CRC[0][p[7]];
    for (; size; size--)
        c = CRC[0][(c ^ *p++) & 255] ^ c >> 8;
    return ~c;
}

void lmdb_pages_crc32c(const MDB_val *src, MDB_val *dst, const MDB_val *key)
{
    uint32_t sum = crc32c(src->mv_data, src->mv_size);
    byte *out = dst->mv_data;
    (void)key;
    for (size_t i = 0; i < dst->mv_size; i++, sum >>= 8)
        out[i] = (byte)sum;
}

/* --- BLAKE2b ------------------------------------------------------------------------------------------------------ */

static void derive(byte *out, size_t size, const byte *key, const char *label, size_t label_size, const MDB_val *iv)
{
    crypto_blake2b_ctx ctx;
    crypto_blake2b_keyed_init(&ctx, size, key, LMDB_PAGES_KEY_SIZE);
    crypto_blake2b_update(&ctx, (const byte *)label, label_size);
    if (iv)
        crypto_blake2b_update(&ctx, iv->mv_data, iv->mv_size);
    crypto_blake2b_final(&ctx, out);
}

void lmdb_pages_blake2b(const MDB_val *src, MDB_val *dst, const MDB_val *key)
{
    byte subkey[32];
    size_t size = dst->mv_size > 64 ? 64 : dst->mv_size;
    memset(dst->mv_data, 0, dst->mv_size);
    if (!size)
        return;
    if (key && key->mv_size == LMDB_PAGES_KEY_SIZE) {
        derive(subkey, sizeof subkey, key->mv_data, LABEL_CHECKSUM, sizeof LABEL_CHECKSUM, NULL);
        crypto_blake2b_keyed(dst->mv_data, size, subkey, sizeof subkey, src->mv_data, src->mv_size);
        wipe(subkey, sizeof subkey);
    } else {
        crypto_blake2b(dst->mv_data, size, src->mv_data, src->mv_size);
    }
}

/* --- encryption --------------------------------------------------------------------------------------------------- */

typedef struct secrets {
    byte cipher[32];
    byte mac[32];
} secrets;

static void tag_begin(crypto_blake2b_ctx *ctx, const byte *mac_key, const MDB_val *iv, uint64_t page_size)
{
    byte sizes[9] = {(byte)iv->mv_size};
    for (int i = 1; i < 9; i++, page_size >>= 8)
        sizes[i] = (byte)page_size;
    crypto_blake2b_keyed_init(ctx, LMDB_PAGES_TAG_SIZE, mac_key, 32);
    crypto_blake2b_update(ctx, (const byte *)LABEL_PAGE, sizeof LABEL_PAGE);
    crypto_blake2b_update(ctx, sizes, 1);
    crypto_blake2b_update(ctx, iv->mv_data, iv->mv_size);
    crypto_blake2b_update(ctx, sizes + 1, 8);
}

static int tags_differ(const byte *a, const byte *b)
{
    byte x[32] = {0}, y[32] = {0};
    memcpy(x, a, LMDB_PAGES_TAG_SIZE);
    memcpy(y, b, LMDB_PAGES_TAG_SIZE);
    return crypto_verify32(x, y);
}

/* Each half is changed by the other half four times; backwards to decrypt. */
static void cipher_header(byte *out, const byte *in, const MDB_val *key, const MDB_val *iv, int encrypt)
{
    byte page_key[32], round_input[16] = {0}, mask[32], halves[HEADER];
    derive(page_key, sizeof page_key, key->mv_data, LABEL_HEADER, sizeof LABEL_HEADER, iv);
    memcpy(halves, in, HEADER);
    for (int i = 0; i < 4; i++) {
        int round = encrypt ? i : 3 - i;
        byte *changed = halves + (round & 1) * 4, *other = halves + (~round & 1) * 4;
        round_input[0] = (byte)round;
        memcpy(round_input + 4, other, 4);
        crypto_chacha20_h(mask, page_key, round_input);
        for (int j = 0; j < 4; j++)
            changed[j] ^= mask[j];
    }
    memcpy(out, halves, HEADER);
    wipe(page_key, sizeof page_key);
    wipe(round_input, sizeof round_input);
    wipe(mask, sizeof mask);
    wipe(halves, sizeof halves);
}

static void encrypt(const byte *src, byte *dst, size_t size, const MDB_val *key, const secrets *s)
{
    crypto_blake2b_ctx ctx;
    byte *tag = key[2].mv_data;
    tag_begin(&ctx, s->mac, &key[1], size);
    crypto_blake2b_update(&ctx, src, size);
    crypto_blake2b_final(&ctx, tag);
    cipher_header(dst, src, &key[0], &key[1], 1);
    crypto_chacha20_x(dst + HEADER, src + HEADER, size - HEADER, s->cipher, tag, 0);
}

static int decrypt(const byte *src, byte *dst, size_t size, const MDB_val *key, const secrets *s)
{
    crypto_blake2b_ctx ctx;
    byte scratch[SCRATCH], tag[LMDB_PAGES_TAG_SIZE];
    const byte *body = src + HEADER;
    size_t room = SCRATCH - HEADER, left = size - HEADER, n;
    uint64_t block = 0;
    int rc = 0;

    tag_begin(&ctx, s->mac, &key[1], size);
    cipher_header(scratch, src, &key[0], &key[1], 0);
    crypto_blake2b_update(&ctx, scratch, HEADER);
    for (; left; body += n, left -= n) {
        n = left <= room ? left : room & ~(size_t)63; /* the cipher goes on at whole blocks of 64 bytes */
        block = crypto_chacha20_x(scratch + HEADER, body, n, s->cipher, key[2].mv_data, block);
        crypto_blake2b_update(&ctx, scratch + HEADER, n);
    }
    crypto_blake2b_final(&ctx, tag);
    if (tags_differ(tag, key[2].mv_data)) {
        rc = MDB_CRYPTO_FAIL;
    } else if (size <= SCRATCH) {
        memcpy(dst, scratch, size);
    } else {
        memcpy(dst, scratch, HEADER);
        crypto_chacha20_x(dst + HEADER, src + HEADER, size - HEADER, s->cipher, key[2].mv_data, 0);
    }
    wipe(scratch, size < SCRATCH ? size : SCRATCH);
    wipe(tag, sizeof tag);
    return rc;
}

int lmdb_pages_encrypt(const MDB_val *src, MDB_val *dst, const MDB_val *key, int encdec)
{
    secrets s;
    int rc = 0;
    if (src->mv_size < HEADER || dst->mv_size != src->mv_size || key[0].mv_size != LMDB_PAGES_KEY_SIZE ||
        key[1].mv_size > MAX_IV)
        return EINVAL;
    if (!encdec && key[2].mv_size == 0 && src->mv_size == HEADER) {
        cipher_header(dst->mv_data, src->mv_data, &key[0], &key[1], 0);
        return 0;
    }
    if (key[2].mv_size != LMDB_PAGES_TAG_SIZE)
        return EINVAL;
    derive((byte *)&s, sizeof s, key[0].mv_data, LABEL_SECRETS, sizeof LABEL_SECRETS, NULL);
    if (encdec)
        encrypt(src->mv_data, dst->mv_data, src->mv_size, key, &s);
    else
        rc = decrypt(src->mv_data, dst->mv_data, src->mv_size, key, &s);
    wipe(&s, sizeof s);
    return rc;
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

int lmdb_pages_key_from_passphrase(unsigned char *key, const void *passphrase, size_t passphrase_size, const void *salt,
                                   size_t salt_size, uint32_t memory, uint32_t passes, void *work, size_t work_size)
{
    crypto_argon2_config config = {CRYPTO_ARGON2_ID, memory, passes, 1};
    crypto_argon2_inputs inputs = {passphrase, salt, (uint32_t)passphrase_size, (uint32_t)salt_size};
    /* From 2^25 KiB on Monocypher's count of the words to wipe does not fit into its 32 bits. */
    if (memory < 8 || memory >= UINT32_C(1) << 25 || passes < 1 || salt_size < 8 || salt_size > UINT32_MAX ||
        passphrase_size > UINT32_MAX || !work || work_size / 1024 < memory || (uintptr_t)work % sizeof(uint64_t))
        return EINVAL;
    crypto_argon2(key, LMDB_PAGES_KEY_SIZE, work, config, inputs, crypto_argon2_no_extras);
    return 0;
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdefABCDEF", *found = c ? strchr(digits, c) : NULL;
    int value = found ? (int)(found - digits) : -1;
    return value < 16 ? value : value - 6;
}

static int key_from_hex(byte *key, const char *word)
{
    for (size_t i = 0; i < LMDB_PAGES_KEY_SIZE; i++) {
        int high = hex_digit(word[2 * i]), low = high < 0 ? -1 : hex_digit(word[2 * i + 1]);
        if (low < 0)
            return 0;
        key[i] = (byte)(high * 16 + low);
    }
    return word[2 * LMDB_PAGES_KEY_SIZE] == 0;
}

static int key_from_word(const char *word, MDB_val *key)
{
    size_t work_size = (size_t)LMDB_PAGES_TOOLS_MEMORY * 1024;
    void *work;
    int rc;
    if (key->mv_size != LMDB_PAGES_KEY_SIZE)
        return EINVAL;
    if (key_from_hex(key->mv_data, word))
        return 0;
    work = malloc(work_size);
    rc = !work ? ENOMEM
               : lmdb_pages_key_from_passphrase(key->mv_data, word, strlen(word), LMDB_PAGES_TOOLS_SALT,
                                                sizeof LMDB_PAGES_TOOLS_SALT - 1, LMDB_PAGES_TOOLS_MEMORY,
                                                LMDB_PAGES_TOOLS_PASSES, work, work_size);
    free(work);
    if (rc)
        key->mv_size = 0;
    return rc;
}

MDB_crypto_funcs *MDB_crypto(void)
{
    static const MDB_crypto_funcs hooks = {
        key_from_word, lmdb_pages_encrypt, NULL, LMDB_PAGES_KEY_SIZE, LMDB_PAGES_TAG_SIZE, 0,
    };
    return (MDB_crypto_funcs *)&hooks; /* upstream's type; its callers only read it */
}

int lmdb_pages_version(void) { return 1; }
