#include "awq/ops/conformance.h"
