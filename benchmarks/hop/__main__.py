from benchmarks.hop.cli import main

main()
