/* Linked into artifacts with a reduced OpenSSL. Replaces three steps of OpenSSL's initialisation,
 * which are a large part of the time that TLS adds to a cold start, and its largest code.
 *
 * Algorithms: OpenSSL is built to register none by name (INSTALL.md: no-autoalginit, for statically
 * linked programs). TLS finds its algorithms without that, but the digests of certificates'
 * signatures are looked up by name. They are registered here.
 *
 * Error texts: OpenSSL would load all of them when it starts. Here it loads them when the first one
 * is requested: the linker's option --wrap sends those requests to the functions below. After an
 * initialisation without texts only OpenSSL's internal functions still load them. Without texts an
 * error shows only its number.
 *
 * Names: OpenSSL's table of names hashes keys of 64 bytes with FNV-1a, byte by byte, each step
 * waiting for the one before, 1,600 times in a start. The hash below takes eight bytes at a time.
 *
 * AES-GCM: the code for processors with AVX-512 is 0.7 MB, a twelfth of an artifact, unrolled for
 * bulk data. OpenSSL is told that the processor cannot run it, takes the code for AES-NI, and refers
 * to the functions below in its place, so the linker leaves it out.
 *
 * Programs without OpenSSL are linked with this file too. It then does nothing.
 */
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
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
 * OPENSSL_INIT_NO_ATEXIT, since a process that exits has nothing to clean up. */
#define INIT_OPTIONS (UINT64_C(0x1) | UINT64_C(0x100000) | UINT64_C(0x80000))

__attribute__((constructor)) static void stagelink_set_up(void)
{
    if (!OPENSSL_init_crypto || !EVP_add_digest)
        return;
    OPENSSL_init_crypto(INIT_OPTIONS, 0);
    EVP_add_digest(EVP_sha1());
    EVP_add_digest(EVP_sha224());
    EVP_add_digest(EVP_sha256());
    EVP_add_digest(EVP_sha384());
    EVP_add_digest(EVP_sha512());
}

/* While OpenSSL loads the texts, it requests the first of each kind itself. */
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

static void ensure_texts(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    if (!is_loading)
        pthread_once(&once, load_texts);
}

const char *__wrap_ERR_lib_error_string(unsigned long error)
{
    ensure_texts();
    return __real_ERR_lib_error_string(error);
}

const char *__wrap_ERR_reason_error_string(unsigned long error)
{
    ensure_texts();
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

int __wrap_ossl_vaes_vpclmulqdq_capable(void)
{
    return 0;
}

/* Nothing calls these where the processor is not capable. */
#define LEFT_OUT(name) \
    void __wrap_##name(void) \
    { \
        abort(); \
    }

LEFT_OUT(ossl_aes_gcm_init_avx512)
LEFT_OUT(ossl_aes_gcm_setiv_avx512)
LEFT_OUT(ossl_aes_gcm_update_aad_avx512)
LEFT_OUT(ossl_aes_gcm_encrypt_avx512)
LEFT_OUT(ossl_aes_gcm_decrypt_avx512)
LEFT_OUT(ossl_aes_gcm_finalize_avx512)
LEFT_OUT(ossl_gcm_gmult_avx512)
