from benchmarks.chaos.cli import main

main()
