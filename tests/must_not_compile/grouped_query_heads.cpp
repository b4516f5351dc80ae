// expect: the heads are not a multiple of the key/value heads
#include <burrow/nn/attention.hpp>

int main() { const burrow::GroupedQueryAttention<64, 8, 3> layer; }
