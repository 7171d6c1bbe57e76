from benchmarks.ray_serve.cli import main

main()
