// The conformance suite knows no token: whatever it sends carries the one in TOKEN.

import http from "node:http";
import { Agent, setGlobalDispatcher } from "undici";

const token = `Bearer ${process.env.TOKEN}`;
const authorize = (dispatch) => (request, handler) => {
  const { headers } = request;
  const all = Array.isArray(headers) ? [...headers, "authorization", token] : { ...headers, authorization: token };
  return dispatch({ ...request, headers: all }, handler);
};
setGlobalDispatcher(new Agent().compose(authorize));

const { request } = http;
http.request = (options, ...rest) =>
  request({ ...options, headers: { ...options.headers, authorization: token } }, ...rest);
