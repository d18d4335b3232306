"""Forecasting: the next steps of many time series."""
