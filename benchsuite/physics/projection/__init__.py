"""Projections of a volume. Padding is shared by the projector and its kernels."""

PAD = 2  # empty pixels round a projected image: the kernels write there instead of testing every voxel
