// Marks functions that device code may call as well.
#pragma once

#ifdef __CUDACC__
#define AWQ_HD __host__ __device__
#else
#define AWQ_HD
#endif
