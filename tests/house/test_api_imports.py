from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "chromadb", "onnxruntime", "onnx", "tokenizers", "numpy", "openai", "trafilatura", "lxml",
    "pypdfium2", "markdown_it", "semchunk", "sentencex", "alembic", "httpx", "granian",
    "httpcore", "protego", "feedparser", "ftfy", "rensa", "py3langid",
)  # fmt: skip


def test_the_api_imports_no_model_no_vector_store_and_no_parser() -> None:
    script = (
        "import sys; from ai_investment.app import create_app, openapi_document; "
        "from ai_investment.settings import Settings; create_app(Settings()); openapi_document(); "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
