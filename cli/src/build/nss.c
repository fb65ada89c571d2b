/* Linked into artifacts with a static glibc: looks up hosts in /etc/hosts and by DNS only.
 *
 * The artifact contains both. For any other service that the image's nsswitch.conf names (such as
 * "myhostname" on Amazon Linux 2023) glibc would load a library of the image. That library is made
 * for the image's own glibc, and with another glibc an assertion ends the process.
 */
#include <nss.h>

__attribute__((constructor)) static void stagelink_look_up_hosts(void)
{
    __nss_configure_lookup("hosts", "files dns");
}
