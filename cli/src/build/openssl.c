/* Linked into artifacts with a slim OpenSSL, which does nothing ahead of time that most starts of a
 * function have no use for. What is done for it here is a good part of what it takes to set up TLS.
 *
 * It registers no algorithm by its name (INSTALL.md: no-autoalginit, for programs that it is linked
 * into). TLS finds its algorithms by itself, but what certificates are signed with is looked up.
 *
 * It has no texts for its errors until one is asked for (the linker's option --wrap leads who asks
 * to the functions below). OpenSSL would load them all with the first thing that it does, and once
 * it was told not to, the functions that it loads them with are its own. Without them an error is
 * told by its number.
 *
 * Its table of names takes 64 bytes as a key, and hashes them one by one with FNV-1a, each of which
 * waits for the one before: 1,600 times in a start. Another hash does as well, eight at a time.
 *
 * A program without OpenSSL is linked with this as well: then there is nothing to do.
 */
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WEAK __attribute__((weak))

typedef struct evp_md_st EVP_MD;
WEAK extern int EVP_add_digest(const EVP_MD *digest);
WEAK extern const EVP_MD *EVP_sha1(void), *EVP_sha224(void), *EVP_sha256(void), *EVP_sha384(void),
    *EVP_sha512(void);
WEAK extern int OPENSSL_init_crypto(uint64_t options, const void *settings);
WEAK extern int ossl_err_load_crypto_strings(void), ossl_err_load_SSL_strings(void);
WEAK extern const char *__real_ERR_lib_error_string(unsigned long error);
WEAK extern const char *__real_ERR_reason_error_string(unsigned long error);

/* OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS and OPENSSL_INIT_NO_LOAD_SSL_STRINGS; and
 * OPENSSL_INIT_NO_ATEXIT, since a process that ends has nothing to tidy up. */
#define NOTHING_AHEAD (UINT64_C(0x1) | UINT64_C(0x100000) | UINT64_C(0x80000))

__attribute__((constructor)) static void stagelink_set_up(void)
{
    if (!OPENSSL_init_crypto || !EVP_add_digest)
        return;
    OPENSSL_init_crypto(NOTHING_AHEAD, 0);
    EVP_add_digest(EVP_sha1());
    EVP_add_digest(EVP_sha224());
    EVP_add_digest(EVP_sha256());
    EVP_add_digest(EVP_sha384());
    EVP_add_digest(EVP_sha512());
}

/* To load them, OpenSSL asks for the first of each kind. */
static __thread int is_loading;

static void load_texts(void)
{
    is_loading = 1;
    if (ossl_err_load_crypto_strings)
        ossl_err_load_crypto_strings();
    if (ossl_err_load_SSL_strings)
        ossl_err_load_SSL_strings();
    is_loading = 0;
}

static void have_texts(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    if (!is_loading)
        pthread_once(&once, load_texts);
}

const char *__wrap_ERR_lib_error_string(unsigned long error)
{
    have_texts();
    return __real_ERR_lib_error_string(error);
}

const char *__wrap_ERR_reason_error_string(unsigned long error)
{
    have_texts();
    return __real_ERR_reason_error_string(error);
}

uint64_t __wrap_ossl_fnv1a_hash(const uint8_t *key, size_t bytes)
{
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t hash = bytes;

    while (bytes > 0) {
        uint64_t word = 0;
        size_t part = bytes < sizeof word ? bytes : sizeof word;

        memcpy(&word, key, part);
        hash = (hash ^ word) * odd;
        hash ^= hash >> 32;
        key += part;
        bytes -= part;
    }
    return hash;
}
