"""The kernel workbench: check a kernel, time it, write the skeleton of one."""
