from benchmarks.endurance.cli import main

main()
