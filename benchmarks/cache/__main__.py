from benchmarks.cache.cli import main

main()
