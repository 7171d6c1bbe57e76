from benchmarks.dashboards.cli import main

main()
