/* Every text that tells who a GPU is: its name, its UUID and its place on the bus. */
#include <string.h>
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } pci_info;
int nvmlDeviceGetName(void *device, char *text, unsigned length) { (void)device; memset(text, 0xff, length); return 0; }
int nvmlDeviceGetUUID(void **device, char *text, unsigned length) {
    strncpy(text, "GPU-\xc3\x28", length);
    text[6] = (char)('0' + *(unsigned *)device);
    return 0;
}
int nvmlDeviceGetPciInfo_v3(void *device, pci_info *info) { (void)device; memset(info, 0xfe, sizeof *info); return 0; }
