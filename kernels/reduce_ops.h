// The reductions of the reduce kernels, in the order of their codes: the one place that C++, CUDA and Python
// (symconv/ops/reduce_kernel.py, which parses this file) agree on.
//   REDUCE_OP(name)   argmax and argmin give positions, in kernel "arg_reduce"; the others are in "reduce"
#ifdef REDUCE_OP
REDUCE_OP(sum)
REDUCE_OP(prod)
REDUCE_OP(max)
REDUCE_OP(min)
REDUCE_OP(any)
REDUCE_OP(all)
REDUCE_OP(argmax)
REDUCE_OP(argmin)
#endif
