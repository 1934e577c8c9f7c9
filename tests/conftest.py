"""Settings of every test: property tests may be slow, for these machines are."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "suyan", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suyan")

ModelMaker = Callable[..., Path]


@pytest.fixture
def make_model(tmp_path: Path) -> ModelMaker:
    """Writes an untrained model as the champion of a recipe; its folder."""

    def make(*, faces: bool = True, norm: str = "instance", recipe: str = "makeup") -> Path:
        import torch

        from preprocessing.config import PrepareConfig
        from scraping.records import write_json
        from training.checkpoint import save_weights
        from training.config import TrainConfig
        from training.networks import ResnetGenerator

        folder = tmp_path / "workspace" / "models" / recipe / "step1-abc"
        folder.mkdir(parents=True)
        config = TrainConfig(num_blocks=1, ngf=4, ndf=4, load_px=64, crop_px=64, norm=norm)
        torch.manual_seed(0)
        for name in ("G_A", "G_B"):
            save_weights(folder / f"{name}.safetensors", ResnetGenerator(1, 4, norm))
        write_json(folder / "config.json", config.model_dump(mode="json"))
        names = ("makeup", "bare") if faces else ("summer", "winter")
        prepare = PrepareConfig(domain_a=names[0], domain_b=names[1], crop_px=62, faces=faces)
        write_json(folder / "prepare.json", prepare.model_dump(mode="json"))
        write_json(folder.parent / "champion.json", {"model": folder.name})
        return folder

    return make
