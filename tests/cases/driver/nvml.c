/*
 * A small libnvidia-ml.so.1 with three GPUs: the functions that a start and the default counters call, and no more.
 * What is absent is not supported, as in an old driver. Layouts of structures are those of NVML's documentation.
 *
 * -DR470     without what came with R510
 * -DBARE     without what tells where a GPU is, its memory, its field values and its events
 * -DALL_ONES every number is all ones, by which a driver that fails says that it has none
 */
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

#define GPUS 3
#define MIB (1ull << 20)
#ifdef ALL_ONES
#define NUMBER(value) (~0ull)
#else
#define NUMBER(value) (value)
#endif

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, TIMEOUT = 10 };
enum { UNSIGNED_INT = 1, UNSIGNED_LONG_LONG = 3 };
enum { XID_CRITICAL_ERROR = 8 };

typedef unsigned long long ull;
typedef struct { unsigned index; } gpu;
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } pci_info;
typedef struct { unsigned gpu, memory; } rates;
typedef struct { ull total, free, used; } memory_v1;
typedef struct { unsigned version; ull total, reserved, free, used; } memory_v2;
typedef struct {
    unsigned id, scope;
    long long timestamp_us, latency_us;
    int type, status;
    ull value; /* x86-64 and arm64 are little-endian: the low bytes are the smaller members of the union */
} field_value;

static gpu gpus[GPUS] = {{0}, {1}, {2}};

int nvmlInitWithFlags(unsigned flags) { (void)flags; return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { (void)code; return "an error of the test library"; }

int nvmlSystemGetDriverVersion(char *text, unsigned length) { snprintf(text, length, "470.256.02"); return SUCCESS; }
int nvmlSystemGetNVMLVersion(char *text, unsigned length) { snprintf(text, length, "11.470.256.02"); return SUCCESS; }

int nvmlDeviceGetCount_v2(unsigned *count) { *count = GPUS; return SUCCESS; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, gpu **device) {
    if (index >= GPUS) return INVALID_ARGUMENT;
    *device = &gpus[index];
    return SUCCESS;
}

int nvmlDeviceGetIndex(gpu *device, unsigned *index) { *index = device->index; return SUCCESS; }
int nvmlDeviceGetName(gpu *device, char *text, unsigned length) {
    (void)device;
    snprintf(text, length, "NVIDIA A100-SXM4-80GB");
    return SUCCESS;
}
int nvmlDeviceGetUUID(gpu *device, char *text, unsigned length) {
    snprintf(text, length, "GPU-0000000%u-0000-0000-0000-000000000000", device->index);
    return SUCCESS;
}
#ifndef BARE
int nvmlDeviceGetMinorNumber(gpu *device, unsigned *minor) { *minor = device->index; return SUCCESS; }
int nvmlDeviceGetPciInfo_v3(gpu *device, pci_info *info) {
    memset(info, 0, sizeof *info);
    snprintf(info->bus_id, sizeof info->bus_id, "00000000:%02x:00.0", 0x1a + device->index);
    return SUCCESS;
}
#endif

int nvmlDeviceGetClockInfo(gpu *d, int kind, unsigned *mhz) {
    (void)d;
    *mhz = NUMBER(kind == 1 ? 1410 : 1593);
    return SUCCESS;
}
int nvmlDeviceGetTemperature(gpu *d, int sensor, unsigned *celsius) {
    (void)d, (void)sensor;
    *celsius = NUMBER(41);
    return SUCCESS;
}
int nvmlDeviceGetPowerUsage(gpu *d, unsigned *mw) { (void)d; *mw = NUMBER(91500); return 0; }
int nvmlDeviceGetPcieReplayCounter(gpu *d, unsigned *count) { (void)d; *count = NUMBER(7); return 0; }
int nvmlDeviceGetUtilizationRates(gpu *d, rates *r) { (void)d; r->gpu = NUMBER(30); r->memory = NUMBER(11); return 0; }
int nvmlDeviceGetEncoderUtilization(gpu *d, unsigned *percent, unsigned *period_us) {
    (void)d;
    *percent = NUMBER(5), *period_us = 167000;
    return SUCCESS;
}
int nvmlDeviceGetDecoderUtilization(gpu *d, unsigned *percent, unsigned *period_us) {
    return nvmlDeviceGetEncoderUtilization(d, percent, period_us);
}

#ifndef BARE
int nvmlDeviceGetMemoryInfo(gpu *d, memory_v1 *memory) {
    (void)d;
    memory->total = NUMBER(81920 * MIB), memory->free = NUMBER(81000 * MIB), memory->used = NUMBER(920 * MIB);
    return SUCCESS;
}
#ifndef R470
int nvmlDeviceGetMemoryInfo_v2(gpu *d, memory_v2 *memory) {
    (void)d;
    memory->total = NUMBER(81920 * MIB), memory->free = NUMBER(81000 * MIB);
    memory->reserved = NUMBER(620 * MIB), memory->used = NUMBER(300 * MIB);
    return SUCCESS;
}
#endif

static int number(field_value *field, int type, ull value) {
    field->type = type, field->value = value;
    return SUCCESS;
}

static int answer(field_value *field) {
    switch (field->id) {
    case 82: return number(field, UNSIGNED_INT, NUMBER(44));              /* temperature of the memory */
    case 83: return number(field, UNSIGNED_LONG_LONG, NUMBER(123456789)); /* energy in mJ */
    case 138:                                                             /* NVLink: KiB sent and received */
    case 139: return number(field, UNSIGNED_LONG_LONG, NUMBER(5000));
    case 142: case 143: case 145: return number(field, UNSIGNED_INT, NUMBER(0)); /* remapped rows */
    default: return NOT_SUPPORTED;
    }
}

int nvmlDeviceGetFieldValues(gpu *d, int count, field_value *fields) {
    struct timeval now;
    (void)d;
    gettimeofday(&now, NULL);
    for (int i = 0; i < count; i++) {
        fields[i].timestamp_us = now.tv_sec * 1000000ll + now.tv_usec, fields[i].latency_us = 3;
        fields[i].status = answer(&fields[i]);
    }
    return SUCCESS;
}

int nvmlDeviceGetSupportedEventTypes(gpu *d, ull *types) { (void)d; *types = XID_CRITICAL_ERROR; return SUCCESS; }
int nvmlEventSetCreate(void **set) { *set = gpus; return SUCCESS; }
int nvmlDeviceRegisterEvents(gpu *d, ull types, void *set) { (void)d, (void)types, (void)set; return SUCCESS; }
int nvmlEventSetWait_v2(void *set, void *data, unsigned ms) { (void)set, (void)data, (void)ms; return TIMEOUT; }
int nvmlEventSetFree(void *set) { (void)set; return SUCCESS; }
#endif
