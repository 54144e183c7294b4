import matplotlib as mpl
import pytest
from hypothesis import settings

mpl.use("Agg")
settings.register_profile("book", deadline=None, derandomize=True)  # the same cases in every run
settings.load_profile("book")


@pytest.fixture(autouse=True)
def _fresh_figure():
    """Every test draws on its own figure."""
    import matplotlib.pyplot as plt

    yield
    plt.close("all")
