"""The texts of the model card that the report does not have, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

CARD_TEXTS: Mapping[Literal["en", "zh"], Mapping[str, str]] = {
    "en": {
        "introduction": "`{name}` is a CycleGAN (Zhu et al. 2017, arXiv 1703.10593), trained "
        "without paired pictures.",
        "exported": " Suyan exported it as {file_format}.",
        "no_scores": "It was not measured.",
        "features": "KID and FID without mention of Inception use the features of {features}, of "
        "pictures at {px} px. Lower is better.",
        "files": "Files",
        "files_header": "| File | Translates | sha256 of the weights |",
        "statistics": "`training_statistics.json` tells how far a picture lies from the training "
        "pictures (above 1: unlike them), by the features of {features} at {px} px; Suyan's "
        "docs/using-a-model.md has the formula.",
        "interface": "Input and output",
        "tensors": "`image`: float32 `[N, 3, H, W]`, RGB, `value / 127.5 - 1`, so in [-1, 1]; H "
        "and W are multiples of {multiple}. `translation`: the same shape and range.",
        "faces": "It was trained on faces cut out of photographs: {px} px squares, the eyes level, "
        "{eye_distance} of the side apart and {eye_height} of it below the top. Other pictures "
        "translate badly. Suyan's command `translate` prepares photographs so, and blends the "
        "result into the photograph.",
        "whole": "It was trained on whole pictures: their middle squares, resized to {prepared_px} "
        "px and cropped to {crop_px} px.",
        "training": "Training",
        "settings": "Generator: {generator}, {ngf} channels, {norm} normalisation. Trained at "
        "{crop_px} px with a batch size of {batch_size} for {num_epochs} + {num_epochs_decay} "
        "epochs; Adam with a learning rate of {learning_rate} and the schedule {lr_policy}; cycle "
        "weights {lambda_a} and {lambda_b}, identity weight {lambda_identity}.",
        "no_lineage": "Nothing is recorded about its training data.",
        "misuse": "Do not use it to deceive anybody about how a real person looks, or to judge "
        "appearance.",
        "licence": "Whoever trained the weights decides on their licence; Suyan sets none.",
    },
    "zh": {
        "introduction": "`{name}` 是一个 CycleGAN（Zhu et al. 2017, arXiv 1703.10593），"
        "训练时不使用成对图片。",
        "exported": "由 Suyan 导出为 {file_format}。",
        "no_scores": "尚未评测。",
        "features": "未注明 Inception 的 KID 与 FID 使用 {features} 的特征（图片边长 {px} "
        "像素），越低越好。",
        "files": "文件",
        "files_header": "| 文件 | 转换方向 | 权重的 sha256 |",
        "statistics": "`training_statistics.json` 可用来判断一张图片离训练图片有多远（大于 1 "
        "表示与训练图片相差较大），特征网络为 {features}，边长 {px} 像素；公式见 Suyan 的 "
        "docs/using-a-model.zh-CN.md。",
        "interface": "输入与输出",
        "tensors": "`image`：float32 `[N, 3, H, W]`，RGB，`value / 127.5 - 1`，即 [-1, 1]；"
        "H 与 W 须为 {multiple} 的倍数。`translation`：形状与取值范围相同。",
        "faces": "训练图片是从照片中裁出的人脸：边长 {px} 像素的正方形，双眼水平，眼距为边长的 "
        "{eye_distance}，双眼距上边缘为边长的 {eye_height}。用于其他图片时效果较差。"
        "Suyan 的 `translate` 命令会以同样方式处理照片，并将结果融合回原照片。",
        "whole": "训练图片是完整的图片：取中央正方形，缩放至 {prepared_px} 像素，"
        "再裁剪为 {crop_px} 像素。",
        "training": "训练",
        "settings": "生成器：{generator}，{ngf} 通道，{norm} 归一化。以 {crop_px} 像素、"
        "批大小 {batch_size} 训练 {num_epochs} + {num_epochs_decay} 轮；Adam，学习率 "
        "{learning_rate}，学习率策略 {lr_policy}；循环权重 {lambda_a} 与 {lambda_b}，"
        "恒等权重 {lambda_identity}。",
        "no_lineage": "没有关于训练数据的记录。",
        "misuse": "请勿用它让人误信某个真人的相貌，也不要用它评判他人的外貌。",
        "licence": "权重的许可证由训练者决定；Suyan 不作规定。",
    },
}
