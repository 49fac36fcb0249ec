"""The product: carries out E75412-01 step by step; knows no Prefect."""
