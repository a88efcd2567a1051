/* gpustat 170: the driver's version is bytes that are no UTF-8. */
#include <string.h>
int nvmlSystemGetDriverVersion(char *text, unsigned length) {
    strncpy(text, "\xf8\x95\xa0\x81\xf8\x95", length);
    return 0;
}
