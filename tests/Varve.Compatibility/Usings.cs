global using Varve.Compatibility.Support;
global using Xunit;
