/* DCGM 199, dcgm-exporter 418: now and then the driver's utilization is no percentage.
 * GPU 1: always; GPU 2: one of five. */
#define _GNU_SOURCE
#include <dlfcn.h>
static unsigned calls;
typedef struct { unsigned gpu, memory; } rates;
typedef int (*get_index)(void *, unsigned *);
int nvmlDeviceGetUtilizationRates(void *device, rates *out) {
    unsigned index = 0;
    get_index index_of = (get_index)dlsym(RTLD_NEXT, "nvmlDeviceGetIndex");
    if (index_of) index_of(device, &index);
    out->gpu = 40; out->memory = 10;
    if (index == 1) { out->gpu = 808334905u; out->memory = 4294967295u; }
    if (index == 2 && ++calls % 5 == 0) out->gpu = 686103u;
    return 0;
}
