"""``python -m lstmserve_dashboards``: write the dashboards beside this package."""

from __future__ import annotations

from pathlib import Path

from lstmserve_dashboards.boards import BOARDS

FOLDER = Path(__file__).parents[1] / "dashboards"


def main() -> None:
    for board in BOARDS:
        (FOLDER / f"{board.name}.json").write_text(board.to_json(), encoding="utf-8")


if __name__ == "__main__":
    main()
