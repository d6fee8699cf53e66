"""Looking into the compiler: pictures of graphs and memory, profiles, and the page that holds them all."""
