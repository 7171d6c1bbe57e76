from benchmarks.capacity.cli import main

main()
