/* Linked into artifacts with a static glibc: hosts are looked up in /etc/hosts and by DNS.
 *
 * Both are in the artifact. Whatever else the image's nsswitch.conf names for hosts (such as
 * "myhostname" on Amazon Linux 2023) would be loaded from the image's libraries, which are made
 * for the image's own glibc: with any other one the process is ended by an assertion.
 */
#include <nss.h>

__attribute__((constructor)) static void stagelink_look_up_hosts(void)
{
    __nss_configure_lookup("hosts", "files dns");
}
