/* nvitop 127: GPU 1's name is bytes that are no UTF-8, as drivers 555.85 and 555.99 answer. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
typedef int (*get_name)(void *, char *, unsigned);
typedef int (*get_index)(void *, unsigned *);
int nvmlDeviceGetName(void *device, char *name, unsigned length) {
    unsigned index = 0;
    get_index index_of = (get_index)dlsym(RTLD_NEXT, "nvmlDeviceGetIndex");
    get_name real = (get_name)dlsym(RTLD_NEXT, "nvmlDeviceGetName");
    if (index_of) index_of(device, &index);
    if (index != 1 && real) return real(device, name, length);
    strncpy(name, "\xf8\x95\xa0\x81\xf8\x95\xa0\x81", length);
    return 0;
}
