// SPDX-License-Identifier: Apache-2.0
//
// Preloaded (LD_PRELOAD) into emulators that would listen on all interfaces: binds them to the loopback interface instead.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

int bind(int socket, const struct sockaddr *address, socklen_t length) {
    int (*next)(int, const struct sockaddr *, socklen_t);
    // A function pointer is not an object pointer, so ISO C has no cast for it.
    *(void **)&next = dlsym(RTLD_NEXT, "bind");

    struct sockaddr_storage copy = {0};
    if (length > sizeof copy)
        return next(socket, address, length);
    memcpy(&copy, address, length);
    if (copy.ss_family == AF_INET) {
        struct in_addr *host = &((struct sockaddr_in *)&copy)->sin_addr;
        if (host->s_addr == htonl(INADDR_ANY))
            host->s_addr = htonl(INADDR_LOOPBACK);
    } else if (copy.ss_family == AF_INET6) {
        struct in6_addr *host = &((struct sockaddr_in6 *)&copy)->sin6_addr;
        // A socket for both families: 127.0.0.1, as IPv6 writes it.
        if (IN6_IS_ADDR_UNSPECIFIED(host))
            *host = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
    }
    return next(socket, (const struct sockaddr *)&copy, length);
}
