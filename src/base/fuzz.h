/* The entry point that every fuzz target defines (libFuzzer's interface). */
#ifndef MW_BASE_FUZZ_H
#define MW_BASE_FUZZ_H

#include "base/macros.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
