"""Plans on CUDA kernels: on a GPU through CuPy, or on the CPU through the emulator."""
