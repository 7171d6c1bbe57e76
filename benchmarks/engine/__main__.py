from benchmarks.engine.cli import main

main()
