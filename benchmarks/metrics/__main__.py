from benchmarks.metrics.cli import main

main()
