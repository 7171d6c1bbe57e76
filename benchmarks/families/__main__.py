from benchmarks.families.cli import main

main()
