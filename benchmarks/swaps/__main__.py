from benchmarks.swaps.cli import main

main()
