/* Tests of lmdb_pages, one function each: `test_pages NAME FOLDER`. Exit status 0, or a message and 1. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lmdb_pages.h"
#include "monocypher.h"

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, __func__, #condition); \
            exit(1); \
        } \
    } while (0)

#define EXPECT(result, expression) \
    do { \
        int rc_ = (expression); \
        if (rc_ != (result)) { \
            fprintf(stderr, "%s:%d: %s: %s gives %d (%s), not %d\n", __FILE__, __LINE__, __func__, #expression, rc_, \
                    mdb_strerror(rc_), (result)); \
            exit(1); \
        } \
    } while (0)

#define OK(expression) EXPECT(0, expression)

typedef unsigned char byte;

static const char *folder;

/* Bytes that look random, and are the same in every run. */
static void noise(void *out, size_t size, unsigned seed)
{
    unsigned long long x = seed * 0x9E3779B97F4A7C15ull + 1;
    for (size_t i = 0; i < size; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        ((byte *)out)[i] = (byte)(x >> 24);
    }
}

static void from_hex(byte *out, const char *hex)
{
    for (unsigned value; *hex && sscanf(hex, "%2x", &value) == 1; hex += 2)
        *out++ = (byte)value;
}

static int is_hex(const byte *data, size_t size, const char *hex)
{
    byte expected[512];
    from_hex(expected, hex);
    return strlen(hex) == 2 * size && !memcmp(data, expected, size);
}

/* --- checksums ---------------------------------------------------------------------------------------------------- */

static uint32_t crc32c_of(const void *data, size_t size)
{
    byte out[4];
    MDB_val src = {size, (void *)data}, dst = {4, out};
    lmdb_pages_crc32c(&src, &dst, NULL);
    return out[0] | (uint32_t)out[1] << 8 | (uint32_t)out[2] << 16 | (uint32_t)out[3] << 24;
}

/* The check value of the catalogues, and the vectors of RFC 3720, B.4. */
static void crc32c_known(void)
{
    byte data[32];
    CHECK(crc32c_of("123456789", 9) == 0xE3069283u);
    memset(data, 0, 32);
    CHECK(crc32c_of(data, 32) == 0x8A9136AAu);
    memset(data, 255, 32);
    CHECK(crc32c_of(data, 32) == 0x62A8AB43u);
    for (int i = 0; i < 32; i++)
        data[i] = (byte)i;
    CHECK(crc32c_of(data, 32) == 0x46DD794Eu);
    for (int i = 0; i < 32; i++)
        data[i] = (byte)(31 - i);
    CHECK(crc32c_of(data, 32) == 0x113FDB5Cu);
    CHECK(crc32c_of("", 0) == 0);
}

/* Every length and alignment, against the definition bit by bit. */
static void crc32c_bitwise(void)
{
    byte data[300];
    noise(data, sizeof data, 1);
    for (size_t from = 0; from < 9; from++)
        for (size_t size = 0; size <= sizeof data - from; size++) {
            uint32_t c = 0xffffffffu;
            for (size_t i = 0; i < size; i++) {
                c ^= data[from + i];
                for (int bit = 0; bit < 8; bit++)
                    c = c >> 1 ^ (c & 1 ? 0x82F63B78u : 0);
            }
            CHECK(crc32c_of(data + from, size) == (c ^ 0xffffffffu));
        }
}

static void blake2b_known(void)
{
    byte out[70], again[32], key[32] = {1};
    MDB_val src = {3, "abc"}, dst = {64, out}, keyed = {32, key};
    lmdb_pages_blake2b(&src, &dst, NULL);
    CHECK(is_hex(out, 64, /* RFC 7693, appendix A */
                 "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
                 "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923"));
    dst.mv_size = 32;
    lmdb_pages_blake2b(&src, &dst, NULL);
    CHECK(is_hex(out, 32, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"));
    dst.mv_size = 16;
    lmdb_pages_blake2b(&src, &dst, NULL);
    CHECK(is_hex(out, 16, "cf4ab791c62b8d2b2109c90275287816"));
    dst.mv_size = 32;
    lmdb_pages_blake2b(&src, &dst, &keyed);
    CHECK(!is_hex(out, 32, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"));
    dst.mv_data = again;
    key[31] ^= 1;
    lmdb_pages_blake2b(&src, &dst, &keyed);
    CHECK(memcmp(out, again, 32));
    memset(out, 7, sizeof out);
    dst = (MDB_val){70, out};
    lmdb_pages_blake2b(&src, &dst, NULL);
    CHECK(is_hex(out + 62, 8, "9923000000000000"));
}

/* --- primitives --------------------------------------------------------------------------------------------------- */

/* draft-irtf-cfrg-xchacha-03: 2.2.1, and the first block of A.3.2. */
static void xchacha20_known(void)
{
    static const char plain[] = "The dhole (pronounced \"dole\") is also known as the Asiatic wild dog";
    byte key[32], in[16], nonce[24], out[64];
    for (int i = 0; i < 32; i++)
        key[i] = (byte)i;
    from_hex(in, "000000090000004a0000000031415927");
    crypto_chacha20_h(out, key, in);
    CHECK(is_hex(out, 32, "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"));
    for (int i = 0; i < 32; i++)
        key[i] = (byte)(0x80 + i);
    from_hex(nonce, "404142434445464748494a4b4c4d4e4f5051525354555658");
    crypto_chacha20_x(out, (const byte *)plain, 64, key, nonce, 0);
    CHECK(is_hex(out, 64,
                 "4559abba4e48c16102e8bb2c05e6947f50a786de162f9b0b7e592a9b53d0d4e9"
                 "8d8d6410d540a1a6375b26d80dace4fab52384c731acbf16a5923c0c48d3575d"));
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

static int derive(byte *key, const char *salt, size_t salt_size, uint32_t memory, uint32_t passes, size_t work_size)
{
    byte *work = malloc((size_t)memory * 1024 + 8);
    int rc = lmdb_pages_key_from_passphrase(key, "password", 8, salt, salt_size, memory, passes, work, work_size);
    free(work);
    return rc;
}

/* From the tests of the Argon2 reference implementation. */
static void argon2id_known(void)
{
    byte key[32];
    OK(derive(key, "somesalt", 8, 256, 2, 256 * 1024));
    CHECK(is_hex(key, 32, "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe"));
    OK(derive(key, "somesalt", 8, 65536, 2, 65536 * 1024));
    CHECK(is_hex(key, 32, "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"));
}

static void passphrase_arguments(void)
{
    byte key[32] = {9}, untouched[32] = {9};
    uint64_t work[1025];
    EXPECT(EINVAL, derive(key, "somesal", 7, 8, 1, 8192));
    EXPECT(EINVAL, derive(key, "somesalt", 8, 7, 1, 8192));
    EXPECT(EINVAL, derive(key, "somesalt", 8, 8, 0, 8192));
    EXPECT(EINVAL, derive(key, "somesalt", 8, 8, 1, 8191));
    EXPECT(EINVAL, lmdb_pages_key_from_passphrase(key, "", 0, "somesalt", 8, 1u << 25, 1, work, (size_t)1 << 40));
    EXPECT(EINVAL, lmdb_pages_key_from_passphrase(key, "", 0, "somesalt", 8, 8, 1, (byte *)work + 1, 8192));
    EXPECT(EINVAL, lmdb_pages_key_from_passphrase(key, "", 0, "somesalt", 8, 8, 1, NULL, 8192));
    CHECK(!memcmp(key, untouched, 32));
    memset(work, 1, sizeof work);
    OK(lmdb_pages_key_from_passphrase(key, "", 0, "somesalt", 8, 8, 1, work, sizeof work));
    CHECK(memcmp(key, untouched, 32));
    for (int i = 0; i < 1024; i++)
        CHECK(work[i] == 0);
    CHECK(work[1024]);
}

static void tools_hook(void)
{
    static const char hex[] = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
    MDB_crypto_funcs *hooks = MDB_crypto();
    byte out[33] = {0}, expected[32];
    MDB_val key = {32, out};
    CHECK(hooks->mcf_encfunc == lmdb_pages_encrypt && !hooks->mcf_sumfunc && hooks->mcf_sumsize == 0);
    CHECK(hooks->mcf_keysize == LMDB_PAGES_KEY_SIZE && hooks->mcf_esumsize == LMDB_PAGES_TAG_SIZE);
    OK(hooks->mcf_str2key(hex, &key));
    CHECK(is_hex(out, 32, hex));

    /* One digit less, one more, or another character: a pass phrase. */
    char words[3][66] = {{0}, {0}, {0}};
    memcpy(words[0], hex, 63);
    sprintf(words[1], "%s0", hex);
    memcpy(words[2], hex, 64);
    words[2][17] = 'g';
    for (int i = 0; i < 3; i++) {
        byte *work = malloc((size_t)LMDB_PAGES_TOOLS_MEMORY * 1024);
        OK(lmdb_pages_key_from_passphrase(expected, words[i], strlen(words[i]), LMDB_PAGES_TOOLS_SALT, 16,
                                          LMDB_PAGES_TOOLS_MEMORY, LMDB_PAGES_TOOLS_PASSES, work,
                                          (size_t)LMDB_PAGES_TOOLS_MEMORY * 1024));
        free(work);
        OK(hooks->mcf_str2key(words[i], &key));
        CHECK(!memcmp(out, expected, 32));
    }
    CHECK(out[32] == 0);
    key.mv_size = 16;
    EXPECT(EINVAL, hooks->mcf_str2key("x", &key));
}

/* --- one page ----------------------------------------------------------------------------------------------------- */

typedef struct page {
    byte key[32], iv[16], tag[24];
    MDB_val keys[3];
} page;

static void page_init(page *p, unsigned seed)
{
    noise(p->key, 32, seed);
    noise(p->iv, 16, seed + 1);
    p->keys[0] = (MDB_val){32, p->key};
    p->keys[1] = (MDB_val){16, p->iv};
    p->keys[2] = (MDB_val){24, p->tag};
}

static int process(page *p, const void *in, void *out, size_t size, int encdec)
{
    MDB_val src = {size, (void *)in}, dst = {size, out};
    return lmdb_pages_encrypt(&src, &dst, p->keys, encdec);
}

static void round_trip(void)
{
    static const size_t large[] = {4056, 4096, 16320, 16327, 16328, 16329, 16376, 16383, 16384, 16385, 16392, 16393,
                                   32640, 32648, 32649, 65496, 1000003};
    byte *plain = malloc(1000003), *cipher = malloc(1000003), *back = malloc(1000003);
    page p;
    page_init(&p, 1);
    noise(plain, 1000003, 2);
    for (size_t i = 8; i < 800 + sizeof large / sizeof *large; i++) {
        size_t size = i < 800 ? i : large[i - 800];
        memset(cipher, 0, size);
        memset(back, 0, size);
        OK(process(&p, plain, cipher, size, 1));
        CHECK(memcmp(plain, cipher, size));
        OK(process(&p, cipher, back, size, 0));
        CHECK(!memcmp(plain, back, size));
    }
    free(plain), free(cipher), free(back);
}

static void in_place(void)
{
    static const size_t sizes[] = {8, 9, 71, 72, 73, 4056, 16384, 16385, 50000};
    byte *plain = malloc(50000), *cipher = malloc(50000), *both = malloc(50000);
    page p, q;
    page_init(&p, 1);
    page_init(&q, 1);
    noise(plain, 50000, 3);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        memcpy(both, plain, sizes[i]);
        OK(process(&p, plain, cipher, sizes[i], 1));
        OK(process(&q, both, both, sizes[i], 1));
        CHECK(!memcmp(cipher, both, sizes[i]) && !memcmp(p.tag, q.tag, 24));
        OK(process(&q, both, both, sizes[i], 0));
        CHECK(!memcmp(plain, both, sizes[i]));
    }
    free(plain), free(cipher), free(both);
}

static void unaligned(void)
{
    byte buffer[600], plain[100], key[33], iv[17], tag[25];
    noise(buffer, sizeof buffer, 4);
    noise(key, 33, 5);
    noise(iv, 17, 6);
    memcpy(plain, buffer + 1, 100);
    MDB_val keys[3] = {{32, key + 1}, {16, iv + 1}, {24, tag + 1}};
    MDB_val src = {100, buffer + 1}, dst = {100, buffer + 203}, back = {100, buffer + 405};
    OK(lmdb_pages_encrypt(&src, &dst, keys, 1));
    OK(lmdb_pages_encrypt(&dst, &back, keys, 0));
    CHECK(!memcmp(back.mv_data, plain, 100));
}

/* Flip a bit, and see that decryption fails and writes nothing. */
static void refused(page *p, byte *cipher, size_t size, byte *at, int bit)
{
    byte *out = malloc(size), *untouched = malloc(size);
    memset(out, 0xAA, size);
    memset(untouched, 0xAA, size);
    at[bit / 8] ^= (byte)(1 << bit % 8);
    EXPECT(MDB_CRYPTO_FAIL, process(p, cipher, out, size, 0));
    at[bit / 8] ^= (byte)(1 << bit % 8);
    CHECK(!memcmp(out, untouched, size));
    free(out), free(untouched);
}

static void any_flipped_bit(void)
{
    static byte plain[20000], cipher[20000], back[20000];
    page p;
    page_init(&p, 7);
    noise(plain, sizeof plain, 8);
    OK(process(&p, plain, cipher, 200, 1));
    for (int bit = 0; bit < 200 * 8; bit++)
        refused(&p, cipher, 200, cipher, bit);
    for (int bit = 0; bit < 24 * 8; bit++)
        refused(&p, cipher, 200, p.tag, bit);
    for (int bit = 0; bit < 16 * 8; bit++)
        refused(&p, cipher, 200, p.iv, bit);
    for (int bit = 0; bit < 32 * 8; bit++)
        refused(&p, cipher, 200, p.key, bit);
    OK(process(&p, cipher, back, 200, 0));
    EXPECT(MDB_CRYPTO_FAIL, process(&p, cipher, back, 199, 0));
    EXPECT(MDB_CRYPTO_FAIL, process(&p, cipher, back, 201, 0));
    OK(process(&p, plain, cipher, sizeof plain, 1)); /* larger than the buffer within */
    for (int bit = 0; bit < 20000 * 8; bit += 4999)
        refused(&p, cipher, sizeof plain, cipher, bit);
}

/* The body of a page shows nothing of the iv's being the same, unless the page is. */
static void what_changes_the_page(void)
{
    byte plain[512], a[512], b[512], both[512];
    page p, q;
    page_init(&p, 9);
    page_init(&q, 9);
    noise(plain, sizeof plain, 10);
    OK(process(&p, plain, a, sizeof plain, 1));
    OK(process(&q, plain, b, sizeof plain, 1));
    CHECK(!memcmp(a, b, sizeof a) && !memcmp(p.tag, q.tag, 24));
    for (int i = 0; i < 16; i += 15) {
        q.iv[i] ^= 1;
        OK(process(&q, plain, b, sizeof plain, 1));
        CHECK(memcmp(p.tag, q.tag, 24) && memcmp(a, b, 8) && memcmp(a + 8, b + 8, 16) && memcmp(a + 496, b + 496, 16));
        q.iv[i] ^= 1;
    }
    for (int bit = 0; bit < 512 * 8; bit += 1023) { /* the same iv and another page */
        memcpy(both, plain, sizeof plain);
        both[bit / 8] ^= (byte)(1 << bit % 8);
        OK(process(&q, both, b, sizeof plain, 1));
        CHECK(memcmp(p.tag, q.tag, 24));
        for (int i = 8; i < 504; i++) { /* no two keystreams alike */
            byte x[8];
            for (int j = 0; j < 8; j++)
                x[j] = (byte)(a[i + j] ^ b[i + j] ^ plain[i + j] ^ both[i + j]);
            CHECK(memcmp(x, "\0\0\0\0\0\0\0\0", 8));
        }
        CHECK(!memcmp(a, b, 8) == !(bit < 64));
    }
}

static void header_alone(void)
{
    byte plain[100], cipher[100], out[9] = {0};
    page p;
    page_init(&p, 11);
    noise(plain, sizeof plain, 12);
    OK(process(&p, plain, cipher, sizeof plain, 1));
    p.keys[2].mv_size = 0;
    OK(process(&p, cipher, out, 8, 0));
    CHECK(!memcmp(out, plain, 8) && out[8] == 0);
    EXPECT(EINVAL, process(&p, cipher, out, 9, 0));
    EXPECT(EINVAL, process(&p, plain, out, 8, 1));
}

static void sizes_refused(void)
{
    byte data[100] = {0}, out[100] = {0};
    page p;
    page_init(&p, 13);
    for (size_t size = 0; size < 8; size++)
        for (int encdec = 0; encdec < 2; encdec++)
            EXPECT(EINVAL, process(&p, data, out, size, encdec));
    for (int encdec = 0; encdec < 2; encdec++)
        for (int i = 0; i < 3; i++)
            for (int change = -1; change < 2; change += 2) {
                size_t size = p.keys[i].mv_size;
                if (i == 1 && change < 0)
                    continue; /* 32-bit builds have a shorter iv */
                p.keys[i].mv_size += (size_t)change;
                EXPECT(EINVAL, process(&p, data, out, 100, encdec));
                p.keys[i].mv_size = size;
            }
    MDB_val src = {100, data}, dst = {99, out};
    EXPECT(EINVAL, lmdb_pages_encrypt(&src, &dst, p.keys, 1));
    CHECK(out[0] == 0 && out[99] == 0);
}

/* Prints key, iv, page, encrypted page and tag, which the caller computes for itself. */
static void print_hex(const byte *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        printf("%02x", data[i]);
    printf("\n");
}

static void vectors(void)
{
    static const size_t sizes[] = {8, 9, 72, 100, 216, 4056};
    byte plain[4056], cipher[4056];
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        page p;
        page_init(&p, 20 + i);
        noise(plain, sizes[i], 40 + i);
        OK(process(&p, plain, cipher, sizes[i], 1));
        print_hex(p.key, 32), print_hex(p.iv, 16), print_hex(plain, sizes[i]);
        print_hex(cipher, sizes[i]), print_hex(p.tag, 24);
    }
}

/* --- through LMDB ------------------------------------------------------------------------------------------------- */

static byte KEY[32] = "0123456789abcdef0123456789ABCDEF";

#define NEEDLE "the plain text, nowhere in the file"

typedef struct options {
    const byte *key; /* encrypt */
    MDB_sum_func *sum;
    unsigned sum_size, flags;
    int page_size;
} options;

static const options ENCRYPTED = {KEY, NULL, 0, 0, 0};
static const options SUMMED = {NULL, lmdb_pages_crc32c, 4, MDB_REMAP_CHUNKS, 0};
static const options BOTH = {KEY, lmdb_pages_blake2b, 16, 0, 0};

static const char *file_in_folder(const char *name)
{
    static char paths[4][4096];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int try_open(MDB_env **env, const char *name, options o)
{
    MDB_val key = {32, (void *)o.key};
    int rc;
    OK(mdb_env_create(env));
    OK(mdb_env_set_mapsize(*env, (size_t)1 << 30));
    OK(mdb_env_set_maxdbs(*env, 4));
    if (o.page_size)
        OK(mdb_env_set_pagesize(*env, o.page_size));
    if (o.key)
        OK(mdb_env_set_encrypt(*env, lmdb_pages_encrypt, &key, LMDB_PAGES_TAG_SIZE));
    if (o.sum)
        OK(mdb_env_set_checksum(*env, o.sum, o.sum_size));
    rc = mdb_env_open(*env, file_in_folder(name), MDB_NOSUBDIR | MDB_NOTLS | MDB_NOSYNC | o.flags, 0600);
    if (rc)
        mdb_env_close(*env);
    return rc;
}

static MDB_env *open_env(const char *name, options o)
{
    MDB_env *env;
    OK(try_open(&env, name, o));
    return env;
}

static MDB_txn *begin(MDB_env *env, unsigned flags, MDB_dbi *dbi)
{
    MDB_txn *txn;
    OK(mdb_txn_begin(env, NULL, flags, &txn));
    OK(mdb_dbi_open(txn, NULL, 0, dbi));
    return txn;
}

/* Record i of the test data: every tenth has a large value. Returns its size. */
static size_t record(unsigned i, char *key, char *value)
{
    size_t size = i % 10 == 3 ? 5000 + i * 977 % 90000 : 20 + i % 300;
    sprintf(key, "%08u", i * 2654435761u);
    noise(value, size, i);
    memcpy(value, NEEDLE, 20);
    return size;
}

static int put_record(MDB_txn *txn, MDB_dbi dbi, unsigned i)
{
    static char key[16], value[100000];
    MDB_val v = {record(i, key, value), value}, k = {strlen(key), key};
    return mdb_put(txn, dbi, &k, &v, 0);
}

static void write_records(MDB_env *env, unsigned from, unsigned to)
{
    MDB_dbi dbi;
    MDB_txn *txn = begin(env, 0, &dbi);
    for (unsigned i = from; i < to; i++)
        OK(put_record(txn, dbi, i));
    OK(mdb_txn_commit(txn));
}

/* The first error in reading records 0 to count; wrong data is never one. */
static int read_records(MDB_env *env, unsigned count)
{
    static __thread char key[16], value[100000];
    MDB_txn *txn;
    MDB_dbi dbi;
    int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    if (rc)
        return rc;
    rc = mdb_dbi_open(txn, NULL, 0, &dbi);
    for (unsigned i = 0; i < count && !rc; i++) {
        size_t size = record(i, key, value);
        MDB_val k = {strlen(key), key}, v;
        rc = mdb_get(txn, dbi, &k, &v);
        if (!rc)
            CHECK(v.mv_size == size && !memcmp(v.mv_data, value, size));
    }
    mdb_txn_abort(txn);
    return rc;
}

static size_t file_size(const char *name)
{
    struct stat status;
    CHECK(!stat(file_in_folder(name), &status));
    return (size_t)status.st_size;
}

static int in_file(const char *name, const char *needle, size_t size)
{
    size_t length = file_size(name);
    byte *data = malloc(length);
    FILE *file = fopen(file_in_folder(name), "rb");
    CHECK(file && fread(data, 1, length, file) == length);
    fclose(file);
    int found = 0;
    for (size_t i = 0; i + size <= length && !found; i++)
        found = !memcmp(data + i, needle, size);
    free(data);
    return found;
}

static void flip(const char *name, size_t offset)
{
    byte value;
    int fd = open(file_in_folder(name), O_RDWR);
    CHECK(fd >= 0 && pread(fd, &value, 1, (off_t)offset) == 1);
    value ^= 0x10;
    CHECK(pwrite(fd, &value, 1, (off_t)offset) == 1);
    close(fd);
}

static void store(options o, int hidden)
{
    MDB_env *env = open_env("db", o);
    for (unsigned i = 0; i < 600; i += 200)
        write_records(env, i, i + 200);
    OK(read_records(env, 600));
    mdb_env_close(env);
    CHECK(in_file("db", NEEDLE, 20) == !hidden);
    env = open_env("db", o);
    OK(read_records(env, 600));
    mdb_env_close(env);
    o.flags |= MDB_RDONLY;
    env = open_env("db", o);
    OK(read_records(env, 600));
    mdb_env_close(env);
}

static void store_encrypted(void) { store(ENCRYPTED, 1); }
static void store_summed(void) { store(SUMMED, 0); }
static void store_both(void) { store(BOTH, 1); }

static void store_page_sizes(void)
{
    for (int size = 512; size <= 65536; size *= 2) {
        options o = BOTH;
        o.page_size = size;
        store(o, 1);
        unlink(file_in_folder("db"));
        unlink(file_in_folder("db-lock"));
    }
}

/* A transaction with more dirty pages than LMDB keeps, of which this build has a short list: it writes them early. */
static void store_spilled(void)
{
    MDB_env *env = open_env("db", BOTH);
    MDB_dbi dbi;
    MDB_txn *txn = begin(env, 0, &dbi);
    char key[16], value[1500];
    for (unsigned i = 0; i < 20000; i++) {
        sprintf(key, "%08u", i);
        noise(value, sizeof value, i);
        OK(mdb_put(txn, dbi, &(MDB_val){8, key}, &(MDB_val){sizeof value, value}, MDB_APPEND));
    }
    CHECK(file_size("db") > 1000000); /* before the commit: it has spilled */
    OK(mdb_txn_commit(txn));
    mdb_env_close(env);
    env = open_env("db", BOTH);
    txn = begin(env, MDB_RDONLY, &dbi);
    for (unsigned i = 0; i < 20000; i++) {
        MDB_val v;
        sprintf(key, "%08u", i);
        noise(value, sizeof value, i);
        OK(mdb_get(txn, dbi, &(MDB_val){8, key}, &v));
        CHECK(v.mv_size == sizeof value && !memcmp(v.mv_data, value, sizeof value));
    }
    mdb_txn_abort(txn);
    mdb_env_close(env);
}

static void wrong_key(void)
{
    static byte other[32];
    MDB_env *env = open_env("db", ENCRYPTED);
    options o = ENCRYPTED;
    write_records(env, 0, 50);
    mdb_env_close(env);
    memcpy(other, KEY, 32);
    other[31] ^= 1;
    o.key = other;
    env = open_env("db", o); /* LMDB finds out at the first page */
    EXPECT(MDB_CRYPTO_FAIL, read_records(env, 50));
    MDB_dbi dbi;
    MDB_txn *txn = begin(env, 0, &dbi);
    EXPECT(MDB_CRYPTO_FAIL, put_record(txn, dbi, 1000));
    mdb_txn_abort(txn);
    mdb_env_close(env);
    env = open_env("db", ENCRYPTED);
    OK(read_records(env, 50));
    mdb_env_close(env);
}

static void encryption_mismatch(void)
{
    options plain = {0};
    MDB_env *env = open_env("encrypted", ENCRYPTED);
    write_records(env, 0, 50);
    mdb_env_close(env);
    env = open_env("plain", plain);
    write_records(env, 0, 50);
    mdb_env_close(env);
    EXPECT(MDB_ENV_ENCRYPTION, try_open(&env, "encrypted", plain));
    EXPECT(MDB_ENV_ENCRYPTION, try_open(&env, "plain", ENCRYPTED));
    EXPECT(MDB_BAD_CHECKSUM, try_open(&env, "plain", SUMMED));
}

/* Flip a byte in every page behind the meta pages: an error or the right data, and an error at least for most. */
static void flipped(options o, int error)
{
    unsigned found = 0, pages = 0;
    MDB_env *env = open_env("db", o);
    write_records(env, 0, 120);
    mdb_env_close(env);
    size_t size = file_size("db");
    for (size_t page = 2; page < size / 4096; page++) {
        size_t offset = page * 4096 + 16 + page * 37 % 4080;
        flip("db", offset);
        env = open_env("db", o);
        int rc = read_records(env, 120);
        mdb_env_close(env);
        flip("db", offset);
        CHECK(rc == 0 || rc == error);
        found += rc == error;
        pages++;
    }
    printf("%u of %u\n", found, pages);
    CHECK(pages > 20 && found * 10 > pages * 9); /* a few pages are free */
    env = open_env("db", o);
    OK(read_records(env, 120));
    mdb_env_close(env);
}

static void flipped_encrypted(void) { flipped(ENCRYPTED, MDB_CRYPTO_FAIL); }
static void flipped_summed(void) { flipped(SUMMED, MDB_BAD_CHECKSUM); }
static void flipped_both(void) { flipped(BOTH, MDB_CRYPTO_FAIL); }

static void flipped_blake2b(void)
{
    options o = SUMMED;
    o.sum = lmdb_pages_blake2b;
    o.sum_size = 32;
    flipped(o, MDB_BAD_CHECKSUM);
}

/* To a descriptor of its own: mdb_env_copy2 sets O_DIRECT, and compacting LMDB 1.0.2 then fails with EINVAL. */
static int copy(MDB_env *env, const char *name, unsigned flags)
{
    int fd = open(file_in_folder(name), O_WRONLY | O_CREAT | O_EXCL, 0600);
    int rc = mdb_env_copyfd2(env, fd, flags);
    close(fd);
    return rc;
}

static void copies(void)
{
    MDB_env *env = open_env("db", ENCRYPTED);
    write_records(env, 0, 300);
    OK(copy(env, "copy", 0));
    OK(copy(env, "compact", MDB_CP_COMPACT));
    mdb_env_close(env);
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "compact" : "copy";
        CHECK(!in_file(name, NEEDLE, 20));
        env = open_env(name, ENCRYPTED);
        OK(read_records(env, 300));
        write_records(env, 300, 400);
        OK(read_records(env, 400));
        mdb_env_close(env);
    }
}

/* The load decrypts page headers alone. No value here takes more than one page: LMDB 1.0.2 dumps such a value's first
 * page as if it stood by itself, and its tag is then wrong. */
static void incremental(void)
{
    MDB_env *env = open_env("db", ENCRYPTED);
    MDB_envinfo info;
    MDB_dbi dbi;
    MDB_txn *txn;
    MDB_val value;
    char keys[2][8] = {"before", "after"}, data[3000] = NEEDLE;
    for (int i = 0; i < 2; i++) {
        txn = begin(env, 0, &dbi);
        OK(mdb_put(txn, dbi, &(MDB_val){strlen(keys[i]), keys[i]}, &(MDB_val){sizeof data, data}, 0));
        OK(mdb_txn_commit(txn));
        if (i == 0) {
            OK(copy(env, "copy", 0));
            OK(mdb_env_info(env, &info));
        }
    }
    OK(mdb_env_incr_dump(env, file_in_folder("dump"), info.me_last_txnid));
    mdb_env_close(env);
    CHECK(!in_file("dump", NEEDLE, 20));
    env = open_env("copy", ENCRYPTED);
    int fd = open(file_in_folder("dump"), O_RDONLY);
    OK(mdb_env_incr_loadfd(env, fd));
    close(fd);
    mdb_env_close(env);
    env = open_env("copy", ENCRYPTED);
    txn = begin(env, MDB_RDONLY, &dbi);
    for (int i = 0; i < 2; i++) {
        OK(mdb_get(txn, dbi, &(MDB_val){strlen(keys[i]), keys[i]}, &value));
        CHECK(value.mv_size == sizeof data && !memcmp(value.mv_data, data, sizeof data));
    }
    mdb_txn_abort(txn);
    mdb_env_close(env);
}

static void nested(void)
{
    MDB_env *env = open_env("db", BOTH);
    MDB_dbi dbi;
    MDB_txn *txn = begin(env, 0, &dbi), *child;
    for (unsigned i = 0; i < 100; i++)
        OK(put_record(txn, dbi, i));
    OK(mdb_txn_begin(env, txn, 0, &child));
    for (unsigned i = 100; i < 200; i++)
        OK(put_record(child, dbi, i));
    OK(mdb_txn_commit(child));
    OK(mdb_txn_begin(env, txn, 0, &child));
    for (unsigned i = 200; i < 300; i++)
        OK(put_record(child, dbi, i));
    mdb_txn_abort(child);
    OK(mdb_txn_commit(txn));
    OK(read_records(env, 200));
    EXPECT(MDB_NOTFOUND, read_records(env, 201));
    mdb_env_close(env);
}

/* One commit only beside the readers: with more, LMDB 1.0.2 can show them pages that it decrypted for older ones. */
static void *reader(void *env)
{
    for (int i = 0; i < 5; i++)
        OK(read_records(env, 200));
    return NULL;
}

static void readers(void)
{
    MDB_env *env = open_env("db", BOTH);
    pthread_t threads[4];
    write_records(env, 0, 200);
    for (int i = 0; i < 4; i++)
        OK(pthread_create(&threads[i], NULL, reader, env));
    write_records(env, 200, 400);
    for (int i = 0; i < 4; i++)
        OK(pthread_join(threads[i], NULL));
    OK(read_records(env, 400));
    mdb_env_close(env);
}

#define TEST(name) {#name, name}

static const struct {
    const char *name;
    void (*run)(void);
} TESTS[] = {
    TEST(crc32c_known), TEST(crc32c_bitwise), TEST(blake2b_known), TEST(xchacha20_known),
    TEST(argon2id_known), TEST(passphrase_arguments), TEST(tools_hook),
    TEST(round_trip), TEST(in_place), TEST(unaligned), TEST(any_flipped_bit), TEST(what_changes_the_page),
    TEST(header_alone), TEST(sizes_refused), TEST(vectors),
    TEST(store_encrypted), TEST(store_summed), TEST(store_both), TEST(store_page_sizes), TEST(store_spilled),
    TEST(wrong_key), TEST(encryption_mismatch), TEST(flipped_encrypted), TEST(flipped_summed), TEST(flipped_both),
    TEST(flipped_blake2b), TEST(copies), TEST(incremental), TEST(nested), TEST(readers),
};

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    folder = argv[2];
    for (size_t i = 0; i < sizeof TESTS / sizeof *TESTS; i++)
        if (!strcmp(argv[1], TESTS[i].name)) {
            TESTS[i].run();
            return 0;
        }
    fprintf(stderr, "no test %s\n", argv[1]);
    return 2;
}
