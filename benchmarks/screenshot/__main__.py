from benchmarks.screenshot.cli import main

main()
