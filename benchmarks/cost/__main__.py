from benchmarks.cost.cli import main

main()
