"""The three parts of a Florence-2 model as modules that export cleanly: plain matrix products, batch of one."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class VisionGraph(nn.Module):
    """Frame to image features."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """pixel_values (1, 3, H, W) → (1, N, d)"""
        return self.model.model.get_image_features(pixel_values).pooler_output


class _Attention(nn.Module):
    """One attention of BART, batch of one."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.inner = attention

    def heads(self, states: torch.Tensor) -> torch.Tensor:
        """(1, T, d) → (heads, T, dh)"""
        return states.reshape(-1, self.inner.num_heads, self.inner.head_dim).transpose(0, 1)

    def forward(self, states: torch.Tensor, key_t: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """states (1, T, d), key_t (heads, dh, S), value (heads, S, dh) → (1, T, d)"""
        query = self.heads(self.inner.q_proj(states) * self.inner.scaling)
        mixed = torch.softmax(query @ key_t, dim=-1) @ value
        return self.inner.out_proj(mixed.transpose(0, 1).reshape(1, -1, self.inner.embed_dim))


def _feed_forward(layer: Any, states: torch.Tensor) -> torch.Tensor:
    return layer.final_layer_norm(states + layer.fc2(layer.activation_fn(layer.fc1(states))))


class EncoderGraph(nn.Module):
    """Image features and prompt to the keys and values that the decoder's cross attention reads."""

    attentions: Any
    cross: Any

    def __init__(self, model: Any) -> None:
        super().__init__()
        language = model.model.language_model
        self.encoder, self.embed = language.encoder, model.get_input_embeddings()
        self.attentions = nn.ModuleList([_Attention(layer.self_attn) for layer in self.encoder.layers])
        self.cross = nn.ModuleList([_Attention(layer.encoder_attn) for layer in language.decoder.layers])

    def forward(self, image_features: torch.Tensor, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """image_features (1, N, d), input_ids (1, T) → (L, heads, dh, N+T), (L, heads, N+T, dh)"""
        states = torch.cat([image_features, self.embed(input_ids)], dim=1)
        positions = self.encoder.embed_positions
        states = states + positions.weight[positions.offset:positions.offset + states.shape[1]]
        states = self.encoder.layernorm_embedding(states)
        for layer, attention in zip(self.encoder.layers, self.attentions, strict=True):
            inner: Any = attention.inner
            key_t = attention.heads(inner.k_proj(states)).transpose(1, 2)
            mixed = attention(states, key_t, attention.heads(inner.v_proj(states)))
            states = _feed_forward(layer, layer.self_attn_layer_norm(states + mixed))
        keys = [cross.heads(cross.inner.k_proj(states)).transpose(1, 2) for cross in self.cross]
        values = [cross.heads(cross.inner.v_proj(states)) for cross in self.cross]
        return torch.stack(keys), torch.stack(values)


class DecoderGraph(nn.Module):
    """One token to the logits of the next."""

    attentions: Any
    cross: Any

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.decoder, self.head = model.model.language_model.decoder, model.lm_head
        self.embed = model.get_input_embeddings()
        self.attentions = nn.ModuleList([_Attention(layer.self_attn) for layer in self.decoder.layers])
        self.cross = nn.ModuleList([_Attention(layer.encoder_attn) for layer in self.decoder.layers])

    def forward(self, input_ids: torch.Tensor, past_k: torch.Tensor, past_v: torch.Tensor, cross_k: torch.Tensor,
                cross_v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """input_ids (1, 1), past (L, heads, P, dh), cross as above → logits (1, V), present (L, heads, P+1, dh)"""
        positions = self.decoder.embed_positions
        place = past_k.shape[2] + positions.offset
        states = self.embed(input_ids) + positions.weight[place:place + 1]
        states = self.decoder.layernorm_embedding(states)
        present_k, present_v = [], []
        for index, layer in enumerate(self.decoder.layers):
            attention, cross = self.attentions[index], self.cross[index]
            inner: Any = attention.inner
            key = torch.cat([past_k[index], attention.heads(inner.k_proj(states))], dim=1)
            value = torch.cat([past_v[index], attention.heads(inner.v_proj(states))], dim=1)
            present_k.append(key)
            present_v.append(value)
            states = layer.self_attn_layer_norm(states + attention(states, key.transpose(1, 2), value))
            states = layer.encoder_attn_layer_norm(states + cross(states, cross_k[index], cross_v[index]))
            states = _feed_forward(layer, states)
        return self.head(states)[0], torch.stack(present_k), torch.stack(present_v)
