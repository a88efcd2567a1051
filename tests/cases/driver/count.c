/* A number of GPUs that can't be. */
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 4294967295u; return 0; }
