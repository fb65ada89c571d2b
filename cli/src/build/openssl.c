/* Linked into artifacts with a slim OpenSSL, which registers no algorithm by its name ahead of time
 * (INSTALL.md: no-autoalginit, for programs that it is linked into): a good part of what it takes to
 * set up TLS, in the middle of a function's start. TLS finds its algorithms by itself, but what
 * certificates are signed with is looked up by its name.
 *
 * A program without OpenSSL is linked with this as well: then there is nothing to register.
 */
#define WEAK __attribute__((weak))

typedef struct evp_md_st EVP_MD;
WEAK extern int EVP_add_digest(const EVP_MD *digest);
WEAK extern const EVP_MD *EVP_sha1(void), *EVP_sha224(void), *EVP_sha256(void), *EVP_sha384(void),
    *EVP_sha512(void);

__attribute__((constructor)) static void stagelink_add_digests(void)
{
    if (!EVP_add_digest)
        return;
    EVP_add_digest(EVP_sha1());
    EVP_add_digest(EVP_sha224());
    EVP_add_digest(EVP_sha256());
    EVP_add_digest(EVP_sha384());
    EVP_add_digest(EVP_sha512());
}
